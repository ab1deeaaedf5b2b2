//go:build (!amd64 && !arm64) || purego

package vec

func sets() map[string]*table { return map[string]*table{"Go": nil} }
