package xlstm

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// Marks are the tokens that begin and end a text.
type Marks struct {
	// Begin precedes a text, once.
	Begin []int
	// Ends are the tokens that end a text, ascending.
	Ends []int
}

// Marks returns the tokens that begin and end a text of the model in a
// vocabulary.
//
// A text begins with the tokens that the vocabulary's template puts before it
// or, if there are none and the configuration has ForceBOSTokenInsert, with
// BOSTokenID. It ends with any of the configuration's EOSTokenIDs, with those
// of the generation_config.json of a loaded model, and with the vocabulary's
// own end token (see data.TextEnd). Ids that the model does not have are
// omitted. The ids of a configuration belong to a vocabulary of subwords and
// are ignored with characters or bytes.
func (m *Model) Marks(tok data.Tokenizer) Marks {
	marks := Marks{Begin: data.Beginning(tok)}
	var ends []int
	if data.IsSubwords(tok) {
		if id, ok := m.cfg.ForcedBOS(); ok && len(marks.Begin) == 0 {
			marks.Begin = []int{id}
		}
		ends = slices.Clone(m.generationEnds)
		if hf := m.cfg.huggingFace(); hf != nil {
			ends = append(ends, hf.EOSTokenIDs...)
		}
	}
	if end, ok := data.TextEnd(tok); ok {
		ends = append(ends, end)
	}
	slices.Sort(ends)
	marks.Ends = slices.DeleteFunc(slices.Compact(ends), func(id int) bool { return id < 0 || id >= m.cfg.VocabSize })
	return marks
}

// ForcedBOS returns the token that a configuration in Hugging Face's form
// requires before every text, and whether there is one.
func (c Config) ForcedBOS() (id int, ok bool) {
	hf := c.huggingFace()
	if hf == nil || !hf.ForceBOSTokenInsert || hf.BOSTokenID == nil || *hf.BOSTokenID < 0 || *hf.BOSTokenID >= c.VocabSize {
		return 0, false
	}
	return *hf.BOSTokenID, true
}

// WithBeginning returns a vocabulary that puts before every text the token that
// the configuration requires there (see ForcedBOS), unless the vocabulary's
// template already puts something there. Saved with a model, it does so wherever
// the model is read.
func (c Config) WithBeginning(tok data.Tokenizer) (data.Tokenizer, error) {
	c.VocabSize = tok.Size()
	id, ok := c.ForcedBOS()
	if !ok {
		return tok, nil
	}
	begun, err := data.BeginWith(tok, id)
	return begun, errors.Wrap(err, "the bos_token_id of the model's configuration")
}

const generationFile = "generation_config.json"

// readGenerationEnds returns the eos_token_id of a generation_config.json in a
// folder, a number or a list; none if there is no such file.
func readGenerationEnds(dir string) ([]int, error) {
	path := filepath.Join(dir, generationFile)
	raw, err := files.ReadVerified(path, files.MaxSettings)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errors.Wrap(err, "xlstm: loading a model")
	}
	var file struct {
		EOSTokenID tokenIDs `json:"eos_token_id"`
	}
	if err := json.Unmarshal(files.WithoutMark(raw), &file); err != nil {
		return nil, errors.Wrapf(err, "xlstm: %s", path)
	}
	return file.EOSTokenID, nil
}
