package xlstm

import (
	"fmt"
	"strings"
)

// Warnings returns warnings about a configuration, one sentence each: the
// unknown fields of Hugging Face's form that were ignored. It is empty for most
// configurations.
func (c Config) Warnings() []string {
	hf := c.huggingFace()
	if hf == nil || len(hf.Unknown) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the configuration has fields that are not known here and are passed over: %.300s; if the model depends on them, it computes something else", strings.Join(hf.Unknown, ", "))}
}

// Warnings returns the warnings of Load, one sentence each: those of the
// configuration (see Config.Warnings), and that the file has a head that
// differs from the embedding although the configuration ties them. It is empty
// for most models, and for all that were not loaded.
func (m *Model) Warnings() []string {
	if m.source == nil {
		return nil
	}
	return append(m.cfg.Warnings(), m.source.warnings...)
}
