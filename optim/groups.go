package optim

import "strings"

// OfficialDecay returns the weight-decay groups of the official xLSTM as a
// predicate for a solver's Decays: a parameter decays if its name contains
// "weight" and not "norm". Thus norms, biases, recurrent kernels and learnable
// skips do not decay. The token embedding, whose name ends in
// "embedding.weight" or "embeddings.weight", decays only if onEmbedding is
// true.
func OfficialDecay(onEmbedding bool) func(name string) bool {
	return func(name string) bool {
		if !strings.Contains(name, "weight") || strings.Contains(name, "norm") {
			return false
		}
		return onEmbedding || !isEmbedding(name)
	}
}

func isEmbedding(name string) bool {
	return strings.HasSuffix(name, "embedding.weight") || strings.HasSuffix(name, "embeddings.weight")
}
