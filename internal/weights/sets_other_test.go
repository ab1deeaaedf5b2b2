//go:build (!amd64 && !arm64) || purego

package weights

func sets() map[string]*table { return map[string]*table{"Go": nil} }
