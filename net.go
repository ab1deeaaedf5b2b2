package xlstm

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
)

// blueprint is what follows from a configuration alone: the official names and
// the layers of a model.
type blueprint struct {
	embedding string
	// otherEmbeddings are further names that weights may have the embedding under.
	otherEmbeddings []string
	stackName       string
	stack           layers.StackConfig
	// logitCap bounds the logits, 0 for no bound.
	logitCap float64
	// width is that of what the head reads.
	width    int
	headBias bool
	// tieField is the name of TieWeights in the configuration's JSON.
	tieField string
}

// headName is the head's weight, which tied weights have no parameter for.
const headName = "lm_head.weight"

func (b blueprint) embeddingName() string { return b.embedding + ".weight" }

// blueprint returns the blueprint of a valid configuration. This is the one place
// that tells the architectures apart.
func (c Config) blueprint() blueprint {
	b := blueprint{tieField: "tie_weights", width: c.EmbeddingDim}
	for i := range c.NumBlocks {
		b.stack.Blocks = append(b.stack.Blocks, c.block(i))
	}
	switch c.form() {
	case lstmForm:
		b.embedding, b.stackName, b.stack.Flat = "token_embedding", "lstm", true
		b.width, b.headBias = c.LSTM.HiddenSize, true
		return b
	case paperForm:
		b.embedding, b.stackName = "token_embedding", "xlstm_block_stack"
		if c.AddPostBlocksNorm {
			norm := layers.DefaultNormConfig(c.EmbeddingDim)
			b.stack.PostNorm, b.stack.PostNormName = &norm, "post_blocks_norm"
		}
		return b
	case largeForm:
		b.embedding = "embedding"
	case huggingFaceForm:
		b.embedding, b.tieField = "backbone.embeddings", "tie_word_embeddings"
	}
	l := c.Large
	b.stackName, b.logitCap = "backbone", l.OutputLogitSoftCap
	b.otherEmbeddings = []string{"embedding.weight", "backbone.embeddings.weight"}
	if l.AddOutNorm {
		norm := layers.NormConfig{Dim: c.EmbeddingDim, RMS: true, Eps: l.NormEps, Weight: true, Bias: l.UseBias && l.HuggingFace == nil}
		b.stack.PostNorm, b.stack.PostNormName = &norm, "out_norm"
	}
	return b
}

// block returns the description of block i.
func (c Config) block(i int) layers.BlockConfig {
	switch c.form() {
	case lstmForm:
		return c.lstmLayer(i)
	case largeForm, huggingFaceForm:
		return c.large()
	}
	switch c.cellOf(i) {
	case slstmCell:
		return layers.SLSTMBlockConfig{SLSTM: c.slstm(i), FeedForward: c.feedForward()}
	case lstmCell:
		return layers.LSTMBlockConfig{EmbeddingDim: c.EmbeddingDim, Dropout: c.Dropout, FeedForward: c.feedForward()}
	case simplifiedCell:
		return layers.SimplifiedBlockConfig{EmbeddingDim: c.EmbeddingDim, Dropout: c.Dropout, FeedForward: c.feedForward()}
	}
	return layers.MLSTMBlockConfig{MLSTM: c.mlstm()}
}

// net is the layers of a model in a graph.
type net struct {
	cfg       Config
	blueprint blueprint
	scope     layers.Scope
	embedding *layers.Embedding
	stack     *layers.Stack
	head      *layers.Linear // nil for none
	parts     []netPart
}

// netPart is a part of a model.
type netPart struct {
	block int // −1 for none
	*layers.Part
}

// newNet makes a model's layers, and with them its parameters, in their order,
// with the head or without.
func newNet(s layers.Scope, cfg Config, withHead bool) (*net, error) {
	n := &net{cfg: cfg, blueprint: cfg.blueprint(), scope: s}
	var outside layers.Description
	s = s.Describe(&outside)
	var err error
	if n.embedding, err = layers.NewEmbedding(s.Part("embedding").Sub(n.blueprint.embedding), cfg.VocabSize, cfg.EmbeddingDim, layers.Small(cfg.EmbeddingDim)); err != nil {
		return nil, err
	}
	n.describe(-1, &outside)
	if n.stack, err = layers.NewStack(s.Sub(n.blueprint.stackName), n.blueprint.stack); err != nil {
		return nil, err
	}
	for i, b := range n.stack.Blocks() {
		n.describe(i, b.Description())
	}
	n.describe(-1, n.stack.PostNorm())
	if !withHead {
		return n, nil
	}
	var last layers.Description
	if n.head, err = n.newHead(s.Describe(&last).Part("head").Sub("lm_head")); err != nil {
		return nil, err
	}
	n.describe(-1, &last)
	return n, nil
}

// newHead makes the head, whose weight is tied if the configuration says so.
func (n *net) newHead(s layers.Scope) (*layers.Linear, error) {
	width, bias := n.blueprint.width, n.blueprint.headBias
	if n.cfg.TieWeights {
		return n.embedding.Tied(s, bias)
	}
	return layers.NewLinear(s, width, n.cfg.VocabSize, bias, layers.Small(width))
}

// describe adds what a part of the model consists of.
func (n *net) describe(block int, d *layers.Description) {
	for _, p := range d.Parts {
		n.parts = append(n.parts, netPart{block, p})
	}
}

// states returns the parts of the state of every block.
func (n *net) states() (all []layers.StateParts) {
	for _, b := range n.stack.Blocks() {
		all = append(all, b.Description().State())
	}
	return all
}

// hidden maps tokens to what the head reads and returns the states after the
// last step.
func (n *net) hidden(tokens *gorgonia.Node, begin layers.StackState) (*gorgonia.Node, layers.StackState, error) {
	x, err := n.embedding.Fwd(tokens)
	if err != nil {
		return nil, nil, err
	}
	if n.cfg.AddEmbeddingDropout {
		if x, err = n.scope.Sub(n.blueprint.embedding).Dropout(x, n.cfg.Dropout); err != nil {
			return nil, nil, err
		}
	}
	return n.stack.Fwd(x, begin)
}

// logits maps what the head reads to logits.
func (n *net) logits(hidden *gorgonia.Node) (*gorgonia.Node, error) {
	logits, err := n.head.Fwd(hidden)
	if err != nil || n.blueprint.logitCap == 0 {
		return logits, err
	}
	return nodes.SoftCap(logits, n.blueprint.logitCap)
}

// stateName is the name of the state of a block.
func stateName(block int) string { return fmt.Sprintf("block_%d", block) }
