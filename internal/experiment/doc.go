// Package experiment checks what the papers claim: grids of small runs over
// cells, tasks and seeds, whose results are files.
//
// An Experiment is a list of runs for a setting: Minutes on two cores, or Full
// with the papers' numbers. A Folder runs what is not done yet, keeps the result
// of every finished run as a file of JSON, and continues a run that was
// interrupted from its checkpoint. The results make a page of curves with their
// mean and spread over seeds, and the claims with what was measured.
//
// The same runs give the same result files, to the byte, on the same kind of
// processor, whether they were interrupted or not. Times and memory, which
// differ from run to run, are in files of their own.
package experiment
