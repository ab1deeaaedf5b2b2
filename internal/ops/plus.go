package ops

import "fmt"

// Plus is an operation to whose results more numbers are added: N[r] addends to
// result r, none to the results beyond N. It reads the inputs of the operation, then
// the addends of each result.
type Plus struct {
	Op
	N []int
}

func (p Plus) Name() string { return p.Op.Name() + "+" }

// addends returns the addends of result r.
func (p Plus) addends(r int) (args []Arg) {
	out := p.Outputs()[r]
	for k := range p.N[r] {
		args = append(args, Arg{Name: fmt.Sprintf("addend %d of %s", k, out.Name), Shape: out.Shape})
	}
	return args
}

func (p Plus) Inputs() []Arg {
	in := p.Op.Inputs()
	in = in[:len(in):len(in)]
	for r := range p.N {
		in = append(in, p.addends(r)...)
	}
	return in
}

func (p Plus) Stages() []Stage {
	results := names(p.Outputs())
	stages := []Stage{{p.Op, names(p.Op.Inputs()), results}}
	for r, n := range p.N {
		if n == 0 {
			continue
		}
		bare, out := "bare "+results[r], p.Outputs()[r]
		stages = append(stages, Stage{ForkGrad{N: n + 1, Shape: out.Shape}, append([]string{bare}, names(p.addends(r))...), []string{out.Name}})
		results[r] = bare
	}
	return stages
}
