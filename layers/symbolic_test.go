package layers

import (
	"fmt"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/nodes"
)

// The symbolic cells are differentiated by Gorgonia, the fused ones by hand:
// outputs, states and all gradients must be the same.
func TestSymbolicEqualsFused(t *testing.T) {
	for _, u := range units() {
		for _, n := range []struct{ batch, steps int }{{1, 1}, {1, 7}, {3, 1}, {3, 7}} {
			for _, continued := range []bool{false, true} {
				for _, stateInLoss := range []bool{false, true} {
					if !stateInLoss && n.batch == 1 && n.steps == 7 {
						continue // a large graph for little news
					}
					t.Run(fmt.Sprintf("%s,%+v,continued=%v,stateInLoss=%v", u.name, n, continued, stateInLoss), func(t *testing.T) {
						symbolicEqualsFused(t, u, n.batch, n.steps, continued, stateInLoss)
					})
				}
			}
		}
	}
}

func symbolicEqualsFused(t *testing.T, u unit, batch, steps int, continued, stateInLoss bool) {
	tr := trial{mk: u.symbolic(), batch: batch, x: u.sequence(batch, steps), stateInLoss: stateInLoss}
	tr.store = newStore(t, tr.mk)
	if continued {
		tr.begin = randomState(t, tr.mk, tr.store, batch, u.dim)
	}
	want := tr.run(t)
	tr.mk = u.fused()
	same(t, tr.run(t), want)
	if !u.mlstm {
		return
	}
	for _, chunk := range []int{1, 64} {
		tr.mk = u.mk(false, nodes.Chunkwise, chunk)
		same(t, tr.run(t), want)
	}
	tr.mk = u.mk(false, nodes.Recurrent, 0)
	same(t, tr.run(t), want)
}
