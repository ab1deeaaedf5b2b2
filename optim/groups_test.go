package optim

import "testing"

// The names and their groups are those of the official code for a model with
// one mLSTM and one sLSTM block.
func TestOfficialDecay(t *testing.T) {
	decay := []string{
		"lm_head.weight",
		"xlstm_block_stack.blocks.0.xlstm.conv1d.conv.weight",
		"xlstm_block_stack.blocks.0.xlstm.k_proj.weight",
		"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.fgate.weight",
		"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.igate.weight",
		"xlstm_block_stack.blocks.0.xlstm.proj_down.weight",
		"xlstm_block_stack.blocks.0.xlstm.proj_up.weight",
		"xlstm_block_stack.blocks.0.xlstm.q_proj.weight",
		"xlstm_block_stack.blocks.0.xlstm.v_proj.weight",
		"xlstm_block_stack.blocks.1.ffn.proj_down.weight",
		"xlstm_block_stack.blocks.1.ffn.proj_up.weight",
		"xlstm_block_stack.blocks.1.xlstm.conv1d.conv.weight",
		"xlstm_block_stack.blocks.1.xlstm.fgate.weight",
		"xlstm_block_stack.blocks.1.xlstm.igate.weight",
		"xlstm_block_stack.blocks.1.xlstm.ogate.weight",
		"xlstm_block_stack.blocks.1.xlstm.zgate.weight",
	}
	never := []string{
		"xlstm_block_stack.blocks.0.xlstm.conv1d.conv.bias",
		"xlstm_block_stack.blocks.0.xlstm.learnable_skip",
		"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.fgate.bias",
		"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.igate.bias",
		"xlstm_block_stack.blocks.0.xlstm.mlstm_cell.outnorm.weight",
		"xlstm_block_stack.blocks.0.xlstm_norm.weight",
		"xlstm_block_stack.blocks.1.ffn_norm.weight",
		"xlstm_block_stack.blocks.1.xlstm.conv1d.conv.bias",
		"xlstm_block_stack.blocks.1.xlstm.group_norm.weight",
		"xlstm_block_stack.blocks.1.xlstm.slstm_cell._bias_",
		"xlstm_block_stack.blocks.1.xlstm.slstm_cell._recurrent_kernel_",
		"xlstm_block_stack.blocks.1.xlstm_norm.weight",
		"xlstm_block_stack.post_blocks_norm.weight",
	}
	embedding := []string{"token_embedding.weight", "embedding.weight", "backbone.embeddings.weight"}
	for _, onEmbedding := range []bool{false, true} {
		decays := OfficialDecay(onEmbedding)
		for _, c := range []struct {
			names []string
			want  bool
		}{{decay, true}, {never, false}, {embedding, onEmbedding}} {
			for _, name := range c.names {
				if decays(name) != c.want {
					t.Errorf("OfficialDecay(%v)(%q) = %v", onEmbedding, name, !c.want)
				}
			}
		}
	}
}
