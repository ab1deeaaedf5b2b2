package nodes

import (
	"fmt"
	"sort"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Check reports what Gorgonia would pass over in silence in a graph that is
// about to be compiled:
//
//   - inputs and parameters without a name: two of one type and shape are one
//     node to Gorgonia;
//   - two inputs or parameters of one name (where their shapes are equal, too,
//     they have become one node already, and nobody can tell);
//   - different nodes with one 32-bit hash: the compiler would compute one of
//     them and use it for both;
//   - what Fork returned and one of Gorgonia's own operations reads, which may
//     write over the memory of all copies.
//
// It is one pass over the nodes. The error lists everything that it found. One
// trap it cannot see: a second gorgonia.Grad on a graph, for another loss, returns
// the first one's gradients for what both losses depend on. And which machine will
// run the graph it does not know: a LispMachine that is to differentiate it fails
// with an error of its own.
func Check(g *gorgonia.ExprGraph) error {
	var faults []string
	for _, n := range g.ByName("") {
		if n.Op() == nil {
			faults = append(faults, fmt.Sprintf("an input of shape %v has no name (use gorgonia.WithName)", n.Shape()))
		}
	}
	names := make(map[string]int)
	hashes := make(map[uint32]*gorgonia.Node)
	for _, n := range g.AllNodes() {
		if n.Op() == nil {
			names[n.Name()]++
		}
		if other, taken := hashes[n.Hashcode()]; taken && other != n {
			faults = append(faults, "nodes "+other.Name()+" and "+n.Name()+" have one hash (rename a parameter, or build a smaller graph)")
		}
		hashes[n.Hashcode()] = n
		if _, ours := n.Op().(*op); !ours {
			faults = append(faults, copiesReadBy(n)...)
		}
	}
	for name, count := range names {
		if count > 1 {
			faults = append(faults, "the name "+name+" is given to more than one input")
		}
	}
	if len(faults) == 0 {
		return nil
	}
	sort.Strings(faults)
	return errors.Errorf("nodes: Gorgonia would silently miscompute this graph: %s", strings.Join(faults, "; "))
}

// copiesReadBy reports the copies made by Fork that a node of Gorgonia's reads.
func copiesReadBy(n *gorgonia.Node) (faults []string) {
	for _, in := range inputs(n) {
		if isCopy(in) {
			faults = append(faults, "Gorgonia's operation "+n.Name()+" reads a copy that Fork made (let it read what was forked)")
		}
	}
	return faults
}
