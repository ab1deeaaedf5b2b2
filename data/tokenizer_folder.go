package data

import (
	"bytes"
	"io"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// The files of a tokenizer in the folder of a model.
const (
	TokenizerFile       = "tokenizer.json"
	TokenizerConfigFile = "tokenizer_config.json"
)

// WriteTokenizer writes a tokenizer to the folder of a model as TokenizerFile,
// and also TokenizerConfigFile if [HasTokenizerConfig]. Both are listed with
// their checksums in the folder.
func WriteTokenizer(dir string, tok Tokenizer) error {
	if HasTokenizerConfig(tok) {
		if err := files.WriteSummed(filepath.Join(dir, TokenizerConfigFile), func(w io.Writer) error { return SaveTokenizerConfig(w, tok) }); err != nil {
			return err
		}
	}
	return files.WriteSummed(filepath.Join(dir, TokenizerFile), func(w io.Writer) error { return SaveTokenizer(w, tok) })
}

// ReadTokenizer reads the TokenizerFile in the folder of a model. A file whose
// checksum is listed in the folder must have it.
func ReadTokenizer(dir string) (Tokenizer, error) {
	path := filepath.Join(dir, TokenizerFile)
	content, err := files.ReadVerified(path, bpe.MaxBytes)
	if err != nil {
		return nil, errors.Wrap(err, "opening the vocabulary")
	}
	tok, err := LoadTokenizer(bytes.NewReader(content))
	return tok, errors.Wrapf(err, "reading %s", path)
}
