package nodes

import (
	"fmt"
	"sort"
	"strings"

	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Check finds mistakes in a graph that Gorgonia does not report when it
// compiles the graph:
//
//   - inputs and parameters without a name: Gorgonia treats two of the same
//     type and shape as one node;
//   - two inputs or parameters with the same name (if their shapes are equal
//     too, they have already become one node, which cannot be detected);
//   - different nodes with the same 32-bit hash: the compiler would compute
//     only one of them and use it for both;
//   - a result of Fork that one of Gorgonia's own operations reads, which may
//     overwrite the memory of all copies.
//
// Check is one pass over the nodes. Its error lists everything that it found.
// It cannot detect a second gorgonia.Grad on a graph for another loss, which
// returns the gradients of the first one for nodes on which both losses depend.
// Nor does it know which machine will run the graph: a LispMachine that is to
// differentiate the graph returns an error itself.
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
