//go:build !amd64 || purego

package vec

func sets() map[string]*table { return map[string]*table{"Go": nil} }
