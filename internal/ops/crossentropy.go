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

// Largest are the K largest of the numbers x [V], of equal ones the first, and
// their indices: values and at [K], from the largest to the smallest. NaN comes
// before all numbers.
type Largest struct {
	elementary
	V, K int
}

func (l Largest) Name() string   { return "largest" }
func (l Largest) Inputs() []Arg  { return []Arg{floats("x", l.V)} }
func (l Largest) Outputs() []Arg { return []Arg{floats("values", l.K), floats("at", l.K)} }

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
