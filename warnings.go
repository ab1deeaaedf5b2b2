package xlstm

import (
	"fmt"
	"strings"
)

// Warnings returns what the reader of a configuration should know although it is
// no error, a sentence each: which fields of Hugging Face's form are unknown and
// were passed over. It is empty for most configurations.
func (c Config) Warnings() []string {
	hf := c.huggingFace()
	if hf == nil || len(hf.Unknown) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the configuration has fields that are not known here and are passed over: %.300s; if the model depends on them, it computes something else", strings.Join(hf.Unknown, ", "))}
}

// Warnings returns what the caller of Load should know although it is no error, a
// sentence each: those of the configuration (see Config.Warnings), and that a head
// was found that differs from the embedding which the configuration says it is
// tied to. It is empty for most models, and for all that were not loaded.
func (m *Model) Warnings() []string {
	if m.source == nil {
		return nil
	}
	return append(m.cfg.Warnings(), m.source.warnings...)
}
