//go:build purego || !(amd64 || arm64)

package cores

func pause() {}
