package ops

// Ignored is the target that CrossEntropy does not count.
const Ignored = -1

// CrossEntropy is the mean of −log softmax(logits)[target] in nats over the
// targets that are not Ignored, 0 if all are: logits [N,V], targets [N].
type CrossEntropy struct {
	elementary
	N, V int
}

func (c CrossEntropy) Name() string   { return "crossEntropy" }
func (c CrossEntropy) Inputs() []Arg  { return []Arg{floats("logits", c.N, c.V), ints("targets", c.N)} }
func (c CrossEntropy) Outputs() []Arg { return []Arg{floats("loss")} }

// CrossEntropyGrad is the derivative of CrossEntropy: it reads logits, targets
// and dloss, a single number, and writes (softmax − onehot)·dloss/n, with n the
// number of targets that count, and zeros in the rows of those that do not.
type CrossEntropyGrad struct {
	elementary
	N, V int
}

func (c CrossEntropyGrad) Name() string   { return "crossEntropy'" }
func (c CrossEntropyGrad) Outputs() []Arg { return []Arg{floats("dlogits", c.N, c.V)} }
func (c CrossEntropyGrad) Inputs() []Arg {
	return append(CrossEntropy{N: c.N, V: c.V}.Inputs(), floats("dloss"))
}

// Over reports which result of an operation may share the memory of which
// input, if the input is not read afterwards. Nothing else may.
func Over(op Op) (out, in int, ok bool) {
	_, ok = op.(CrossEntropyGrad)
	return 0, 0, ok
}
