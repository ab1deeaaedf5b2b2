//go:build (!amd64 && !arm64) || purego

package weights

func sets() map[string]*table { return map[string]*table{"Go": nil} }

// tileSets are the kernels for products of several vectors: none.
func tileSets() map[string]*tileTable { return nil }
