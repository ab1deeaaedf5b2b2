package run

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// Writes reports whether this is rank 0, which writes to the run's folder.
func (r *Session) Writes() bool { return r.group.Rank() == 0 }

// Ranks returns the number of processes that train together.
func (r *Session) Ranks() int { return r.group.Size() }

// Agreed reports whether yes is true on one of the ranks at least. All ranks must
// call it.
func (r *Session) Agreed(yes bool) (bool, error) {
	votes := []float64{0}
	if yes {
		votes[0] = 1
	}
	err := r.group.SumAll(votes)
	return votes[0] > 0, err
}

// agree returns an error on all ranks if they would not train the same run.
func (r *Session) agree() error {
	if r.Ranks() == 1 {
		return nil
	}
	program, err := ownChecksum()
	if err != nil {
		return err
	}
	vocabulary := sha256.New()
	if err := data.SaveTokenizer(vocabulary, r.text.Tokenizer); err != nil {
		return err
	}
	texts := r.text.marks()
	facts := []dist.Fact{
		{Name: "the checksum of the program", Value: program},
		{Name: "the text to train on", Value: texts.Train.String()},
		{Name: "the held-out text", Value: texts.HeldOut.String()},
		{Name: "the vocabulary's checksum", Value: hexSum(vocabulary.Sum(nil))},
		{Name: "the device", Value: r.where.Kind},
		{Name: "the sharding of the optimiser", Value: strconv.FormatBool(r.where.ShardOptimizer)},
	}
	settings, err := r.s.facts()
	if err != nil {
		return err
	}
	return dist.Agree(r.group, append(facts, settings...))
}

// facts returns the settings one by one, except paths: they may differ, and what
// they lead to is compared.
func (s Settings) facts() (facts []dist.Fact, err error) {
	s.Data, s.Cache, s.Tokens, s.From = nil, "", "", ""
	text, err := json.Marshal(s)
	if err != nil {
		return nil, errors.Wrap(err, "comparing the settings")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, errors.Wrap(err, "comparing the settings")
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		facts = append(facts, dist.Fact{Name: "the setting " + name, Value: string(fields[name])})
	}
	return facts, nil
}

func (m textMark) String() string {
	return fmt.Sprintf("%d tokens with checksum %s", m.Tokens, m.Checksum)
}

// hexSum returns the first half of a checksum, which is enough to tell two apart.
func hexSum(sum []byte) string { return hex.EncodeToString(sum[:16]) }

// ownChecksum returns the checksum of this program's file.
func ownChecksum() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", errors.Wrap(err, "finding this program's file")
	}
	f, _, err := files.Open(path, math.MaxInt64)
	if err != nil {
		return "", errors.Wrap(err, "reading this program's file")
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", errors.Wrap(err, "reading this program's file")
	}
	return hexSum(h.Sum(nil)), nil
}

// stillEqual returns an error on all ranks if their parameters differ, which they
// never do unless a machine is faulty or an MPI gives ranks different sums.
func (r *Session) stillEqual() error {
	if r.Ranks() == 1 {
		return nil
	}
	if err := r.model.Fetch(); err != nil {
		return err
	}
	h := sha256.New()
	for _, p := range r.model.Params() {
		if err := binary.Write(h, binary.LittleEndian, p.Value.Data()); err != nil {
			return errors.Wrapf(err, "comparing %s", p.Name)
		}
	}
	return dist.Agree(r.group, []dist.Fact{{Name: "the parameters' checksum after step " + strconv.Itoa(r.trainer.Steps()), Value: hexSum(h.Sum(nil))}})
}

// restoreAll restores all ranks from the checkpoint that rank 0 continues from.
// They must be able to read the run's folder.
func (r *Session) restoreAll() error {
	var name string
	if r.Writes() {
		from, err := r.restore()
		if err != nil {
			return err
		}
		if from != nil {
			name = filepath.Base(from.Dir)
		}
	}
	shared, err := dist.Share(r.group, []byte(name), 0)
	if err != nil || r.Writes() || len(shared) == 0 {
		return err
	}
	found, err := rundir.Checkpoints(r.dir, rundir.LastKind)
	if err != nil {
		return err
	}
	for _, cp := range found {
		if filepath.Base(cp.Dir) == string(shared) {
			return errors.Wrapf(r.restoreFrom(cp), "rank %d", r.group.Rank())
		}
	}
	return errors.Errorf("rank %d does not find the checkpoint %s in %s, from which rank 0 continues; all ranks must be able to read the run's folder", r.group.Rank(), shared, r.dir)
}
