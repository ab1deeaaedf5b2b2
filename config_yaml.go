package xlstm

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
	"go.yaml.in/yaml/v3"
)

// ReadConfig reads the configuration of the model at path without its weights.
// path is a path for Load or a configuration file: JSON in any form that
// ParseConfig reads, or the config.yaml of the official code, which is the same
// in YAML, and in its experiments under the key model, with references to
// values elsewhere in the file, such as ${dataset.kwargs.vocab_size}.
//
// vocab takes the place of a vocab_size that is missing, null or below 1, the
// official default, which depends on the data; 0 makes such a one an error.
func ReadConfig(path string, vocab int) (Config, error) {
	config := path
	if name := filepath.Base(path); !isYAML(name) && (!strings.HasSuffix(name, ".json") || strings.HasSuffix(name, indexEnding)) {
		config = configOf(path)
	}
	_, cfg, err := readConfig(config, vocab)
	return cfg, err
}

// readConfig reads a file with a configuration; raw is the file as it is.
func readConfig(path string, vocab int) (raw []byte, cfg Config, err error) {
	if raw, err = files.ReadVerified(path, files.MaxSettings); err != nil {
		return nil, cfg, errors.Wrapf(err, "xlstm: a model is a folder with %s and %s, or a file of weights with %s beside it", configFile, weightsFile, configFile)
	}
	asJSON := files.WithoutMark(raw)
	if isYAML(path) {
		asJSON, err = jsonOfYAML(asJSON)
	}
	if err == nil {
		cfg, err = parseConfig(asJSON, missingVocab(asJSON, vocab))
	}
	return raw, cfg, errors.Wrapf(err, "xlstm: %s", path)
}

// missingVocab returns vocab if a configuration has no vocab_size, and else 0.
func missingVocab(config []byte, vocab int) int {
	var file struct {
		VocabSize int `json:"vocab_size"`
	}
	if json.Unmarshal(config, &file) != nil || file.VocabSize >= 1 {
		return 0 // parsing says what is wrong
	}
	return vocab
}

func isYAML(path string) bool {
	return strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml")
}

// maxYAML is the size of the largest configuration in YAML that is read, in bytes.
const maxYAML = 1 << 20

// jsonOfYAML returns the model's part of a configuration in YAML as JSON.
func jsonOfYAML(raw []byte) ([]byte, error) {
	if len(raw) > maxYAML {
		return nil, errors.Errorf("it has %d bytes, which are too many for a configuration", len(raw))
	}
	var all map[string]any
	if err := yaml.Unmarshal(raw, &all); err != nil {
		return nil, errors.Errorf("it is no configuration in YAML: %.200s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	var part any = all
	if model, ok := all["model"].(map[string]any); ok {
		part = model
	}
	resolved, err := resolve(part, all, 0)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(resolved)
	return data, errors.Wrap(err, "it holds what no configuration has")
}

// reference is a value that stands elsewhere in the file.
var reference = regexp.MustCompile(`^\$\{([\w.]+)\}$`)

// resolve replaces the references in v by what they stand for in the whole.
func resolve(v any, whole map[string]any, depth int) (_ any, err error) {
	const deepest = 32
	if depth > deepest {
		return nil, errors.New("its references lead to each other")
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			if out[key], err = resolve(item, whole, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			if out[i], err = resolve(item, whole, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case string:
		if !strings.Contains(v, "${") {
			return v, nil
		}
		m := reference.FindStringSubmatch(v)
		if m == nil {
			return nil, errors.Errorf("%.100q is not the name of a value in the file; put the value in its place", v)
		}
		value, ok := lookUp(whole, m[1])
		if _, isMap := value.(map[string]any); !ok || isMap {
			return nil, errors.Errorf("%.100q stands for no value in the file; put the value in its place", v)
		}
		return resolve(value, whole, depth+1)
	}
	return v, nil
}

// lookUp returns the value under keys that are joined by dots.
func lookUp(v any, path string) (any, bool) {
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[key]; !ok {
			return nil, false
		}
	}
	return v, true
}
