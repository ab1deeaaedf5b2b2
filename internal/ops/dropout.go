package ops

// Dropout sets each element of x to zero with probability Rate and multiplies
// the others by 1/(1−Rate). The mask depends on the input key [3], which is a
// seed, the number of the step and the number f of the first row, on ID, which
// distinguishes the dropouts of a graph, and on the index of the element. With mix one step of SplitMix64 (Steele, Lea
// and Flood, 2014), which adds γ = 0x9e3779b97f4a7c15 and scrambles the bits,
//
//	k = mix(mix(mix(2⁶⁴−1 xor mix(seed)) xor mix(step)) xor mix(ID))
//
// and element i of rows of width w is dropped if mix(k + (f·w+i)·γ)>>11 is less
// than ⌊Rate·2⁵³⌋.
type Dropout struct {
	elementary
	ID    uint64
	Rate  float64
	Shape Shape
}

func (d Dropout) Name() string   { return "dropout" }
func (d Dropout) Inputs() []Arg  { return []Arg{floats("x", d.Shape...), ints("key", 3)} }
func (d Dropout) Outputs() []Arg { return []Arg{floats("y", d.Shape...)} }

// Width returns the number of elements in a row: the first axis counts rows.
func (d Dropout) Width() int { return d.Shape.Size() / max(1, d.Shape[0]) }

// DropoutGrad is Dropout of the gradient: it reads dy and key.
type DropoutGrad struct {
	elementary
	ID    uint64
	Rate  float64
	Shape Shape
}

func (d DropoutGrad) Name() string   { return "dropout'" }
func (d DropoutGrad) Inputs() []Arg  { return []Arg{floats("dy", d.Shape...), ints("key", 3)} }
func (d DropoutGrad) Outputs() []Arg { return []Arg{floats("dx", d.Shape...)} }
