// Package scaling computes what data-parallel training on many nodes can reach at
// best, from the time that a node computes and the speed of its link. See
// docs/scaling.md.
package scaling

import "math"

// Job is the work of a node in a training step, and its link to the others.
type Job struct {
	Compute   float64 // seconds per step, without communication
	Gradients float64 // bytes
	Bandwidth float64 // of the link, bytes per second in each direction
	Latency   float64 // seconds from a message's start to its arrival, without its bytes
	Bucket    float64 // bytes of gradients that are added up at once
}

// Backward is the part of a step's computation that is the backward pass, during
// which gradients are added up: two of three matrix products.
const Backward = 2. / 3

// AllReduce returns the seconds in which n nodes add up their gradients. Every
// node sends and receives 2(n−1)/n of each bucket, as in a ring, which no
// algorithm undercuts; a bucket takes 2·log₂n messages one after the other, as in
// recursive halving and doubling. A ring takes 2(n−1).
func (j Job) AllReduce(n int) float64 {
	if n == 1 {
		return 0
	}
	buckets := math.Ceil(j.Gradients / j.Bucket)
	return 2*float64(n-1)/float64(n)*j.Gradients/j.Bandwidth + buckets*2*math.Ceil(math.Log2(float64(n)))*j.Latency
}

// Efficiency returns the speed of n nodes, each with its own batch, as a share of
// n times that of one: if the gradients are added up after the backward pass, and
// if they are while it runs, except for the last bucket.
func (j Job) Efficiency(n int) (after, during float64) {
	sum := j.AllReduce(n)
	last := sum / math.Ceil(j.Gradients/j.Bucket)
	step := max(j.Compute+last, (1-Backward)*j.Compute+sum)
	return j.Compute / (j.Compute + sum), j.Compute / step
}

// Enough returns the seconds of computation per step, on a node, from which n
// nodes have the given efficiency while the gradients are added up during the
// backward pass.
func (j Job) Enough(n int, efficiency float64) float64 {
	sum := j.AllReduce(n)
	last := sum / math.Ceil(j.Gradients/j.Bucket)
	return max(last/(1/efficiency-1), sum/(1/efficiency-(1-Backward)))
}
