//go:build !purego

package weights

// sets are the kernels that this machine can run, by name; plain Go is nil.
func sets() map[string]*table { return map[string]*table{"Go": nil, "NEON": &tableNEON} }

// tileSets are the kernels for products of several vectors: none.
func tileSets() map[string]*tileTable { return nil }
