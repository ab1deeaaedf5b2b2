// Package dynlib loads shared libraries at run time and calls their functions,
// without cgo. It is empty unless a build tag asks for such a library.
package dynlib
