package xlstm

// largeBlock counts a block of the xLSTM-7B architecture.
func (k *costing) largeBlock(i int) {
	l := k.large()
	d, nh := l.EmbeddingDim, l.NumHeads
	k.part("norm", i)
	k.plainNorm("norm_mlstm", d, l.Bias)
	if l.Fused {
		k.part("q, k, v and output gate", i)
		k.branches("mlstm_layer.qkv_opreact", l.Bias, l.QKDim, l.QKDim, l.VDim, l.VDim)
		k.part("gates", i)
		k.branches("mlstm_layer.ifgate_preact", true, nh, nh)
	} else {
		k.part("q, k, v and output gate", i)
		k.linear("mlstm_layer.q", d, l.QKDim, l.Bias)
		k.linear("mlstm_layer.k", d, l.QKDim, l.Bias)
		k.linear("mlstm_layer.v", d, l.VDim, l.Bias)
		k.linear("mlstm_layer.ogate_preact", d, l.VDim, l.Bias)
		k.part("gates", i)
		k.linear("mlstm_layer.igate_preact", d, nh, true)
		k.linear("mlstm_layer.fgate_preact", d, nh, true)
	}
	k.part("cell", i)
	k.mlstmCell(nh, l.QKDim/nh, l.VDim/nh)
	k.part("head norm", i)
	k.plainNorm("mlstm_layer.multihead_norm", l.VDim, l.Bias)
	k.part("down projection", i)
	k.linear("mlstm_layer.out_proj", l.VDim, d, l.Bias)
	k.part("feed-forward", i)
	k.plainNorm("norm_ffn", d, l.Bias)
	if l.Fused {
		k.branches("ffn.proj_up_gate_z", l.Bias, l.UpDim, l.UpDim)
	} else {
		k.linear("ffn.proj_up_gate", d, l.UpDim, l.Bias)
		k.linear("ffn.proj_up", d, l.UpDim, l.Bias)
	}
	k.linear("ffn.proj_down", l.UpDim, d, l.Bias)
}

// branches counts linear maps of the embedding's width that are stacked in one
// parameter.
func (k *costing) branches(name string, bias bool, widths ...int) {
	total := 0
	for _, w := range widths {
		total += w
	}
	k.linear(name, k.EmbeddingDim, total, bias)
}

// plainNorm counts a norm of the xLSTM-7B architecture.
func (k *costing) plainNorm(name string, width int, bias bool) {
	k.norm(name, width, true)
	if bias {
		k.tensor(name+".bias", width)
	}
}

// tensors returns the parameters of a model of this configuration under the
// official names, without making any.
func (c Config) tensors() []TensorShape {
	return sumParts(c.costParts(CostOptions{Batch: 1, Steps: 1, Chunk: 1})).Tensors
}
