package dist

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pkg/errors"
)

// Share returns the bytes b of rank root on every rank; b is ignored elsewhere.
func Share(g Group, b []byte, root int) ([]byte, error) {
	var length [8]byte
	if g.Rank() == root {
		binary.LittleEndian.PutUint64(length[:], uint64(len(b)))
	}
	if err := g.Broadcast(length[:], root); err != nil {
		return nil, err
	}
	if g.Rank() != root {
		b = make([]byte, binary.LittleEndian.Uint64(length[:]))
	}
	if len(b) == 0 {
		return b, nil
	}
	return b, g.Broadcast(b, root)
}

// Fact is something that must be the same on all ranks.
type Fact struct{ Name, Value string }

// Agree returns the same error on every rank if a fact differs on one of them
// from that of rank 0.
func Agree(g Group, facts []Fact) error {
	if g.Size() == 1 {
		return nil
	}
	mine, err := json.Marshal(facts)
	if err != nil {
		return errors.Wrap(err, "dist")
	}
	first, err := Share(g, mine, 0)
	if err != nil {
		return err
	}
	var want []Fact
	if err := json.Unmarshal(first, &want); err != nil {
		return errors.Wrap(err, "dist: the facts of rank 0")
	}
	var flaws []string
	for rank := range g.Size() {
		flaw, err := Share(g, []byte(difference(facts, want)), rank)
		if err != nil {
			return err
		}
		if len(flaw) > 0 {
			flaws = append(flaws, fmt.Sprintf("rank %d differs from rank 0: %s", rank, flaw))
		}
	}
	if flaws != nil {
		return errors.Errorf("dist: %s", strings.Join(flaws, "; "))
	}
	return nil
}

// difference describes the first fact that is not as wanted, or returns "".
func difference(got, want []Fact) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d facts instead of %d", len(got), len(want))
	}
	for i, w := range want {
		if got[i] != w {
			return fmt.Sprintf("%s is %s instead of %s", got[i].Name, got[i].Value, w.Value)
		}
	}
	return ""
}
