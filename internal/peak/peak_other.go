//go:build purego || !(amd64 || arm64)

package peak

// best is nil: products are compiled from Go here.
var best *instructions
