package main

import "strings"

// kernel is a function on vectors of n elements. All vectors are read and
// written element by element, none is read behind its write.
type kernel struct {
	name    string
	vectors string // names of the vectors, those that are written last
	// fours are the names of further vectors, of four numbers for each element. A
	// kernel that has any takes whole turns alone: n is a multiple of step.
	fours   string
	scalars string // names of the scalar arguments
	// strided are the names of those vectors that are another one in each row, if the
	// kernel does as many rows as its argument rows says, at least one. The vector of the
	// next row begins as many elements further on as the argument with its name and Row
	// at the end says.
	strided string
	results string // names of the sums (or maxima) over all elements
	// fold is the operation of the results; sum if nil.
	fold *folding
	// long says that a turn's instructions wait for one another for longer than a
	// processor looks ahead, so that two turns are written side by side where there
	// are registers for it.
	long bool
	body func(k *body)
}

// folding is how a result is made of the elements.
type folding struct {
	start uint32 // of a lane with no elements
	both  func(l lanes, a, b value) value
}

var (
	sum     = folding{0, lanes.add}
	maximum = folding{0xff800000, lanes.max}
)

// body is what a kernel's body is written in: one turn of its loop.
type body struct {
	lanes
	memory
}

// memory is the arguments of a kernel, in one turn of its loop.
type memory interface {
	load(name string) value         // the elements of a vector; those beyond its end are zero
	loadFours(name string) [4]value // of each element's four numbers the first, the second and so on
	store(name string, v value)     // to those that exist
	param(name string) value        // a scalar argument in every lane
	foldInto(name string, v value)  // adds v to a result
	// ahead fetches memory from where a vector begins on, so many times as fast as
	// the vector is read, where a processor does not see by itself that it will be
	// needed.
	ahead(name string, times int)
	// soon fetches what lies so many bytes further on than the elements of vectors: of
	// matrices, a row that follows.
	soon(bytes int, names ...string)
}

func (k kernel) folding() folding {
	if k.fold == nil {
		return sum
	}
	return *k.fold
}

// pointers are the names of all vectors.
func (k kernel) pointers() []string {
	return append(strings.Fields(k.vectors), strings.Fields(k.fours)...)
}

func (k kernel) signature() string {
	s := "func(elements int"
	for _, v := range k.pointers() {
		s += ", " + v + " *float32"
	}
	for _, v := range strings.Fields(k.scalars) {
		s += ", " + v + " float32"
	}
	if k.strided != "" {
		s += ", rows int"
	}
	for _, v := range strings.Fields(k.strided) {
		s += ", " + v + "Row int"
	}
	s += ")"
	if r := strings.Fields(k.results); len(r) > 0 {
		s += " (" + strings.Join(r, ", ") + " float32)"
	}
	return s
}
