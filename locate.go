package xlstm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// The files of a model folder.
const (
	configFile    = "config.json"
	yamlFile      = "config.yaml"
	weightsFile   = "model.safetensors"
	indexFile     = "model.safetensors.index.json"
	pickleFile    = "pytorch_model.bin"
	pickleIndex   = "pytorch_model.bin.index.json"
	firstFile     = "model_0.safetensors" // and so on, without an index
	numberedFiles = "model_%d.safetensors"
	indexEnding   = ".index.json"
)

// The endings of the names of files with tensors: of safetensors, and of what
// torch.save writes.
var (
	tensorEndings = []string{".safetensors"}
	pickleEndings = []string{".pt", ".pth", ".bin"}
)

// locate returns where the configuration and the tensors of a model are: in a
// folder, or in a file of tensors with a configuration beside it. Where nothing
// is, opening what it returns says so.
func locate(path string) (config, weights string, err error) {
	config = configOf(path)
	if isFile(path) {
		return config, path, nil
	}
	for _, name := range []string{weightsFile, indexFile, firstFile, pickleFile, pickleIndex} {
		weights = filepath.Join(path, name)
		if _, err := os.Stat(weights); err == nil {
			return config, weights, nil
		}
	}
	for _, endings := range [][]string{tensorEndings, pickleEndings} {
		switch others := withEnding(path, endings); len(others) {
		case 0:
		case 1:
			return config, filepath.Join(path, others[0]), nil
		default:
			return "", "", errors.Errorf("xlstm: %s has no %s and no %s; give the path of the model's file, one of %.200s", path, weightsFile, indexFile, strings.Join(others, ", "))
		}
	}
	return config, filepath.Join(path, weightsFile), nil
}

// isFile reports whether there is something at a path that is no folder.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// configOf returns the path of the configuration of the model at path.
func configOf(path string) string {
	if isFile(path) {
		path = filepath.Dir(path)
	}
	return configIn(path)
}

// configIn returns the path of the configuration in a folder: config.yaml if
// there is no config.json.
func configIn(dir string) string {
	json, yaml := filepath.Join(dir, configFile), filepath.Join(dir, yamlFile)
	if !isFile(json) && isFile(yaml) {
		return yaml
	}
	return json
}

// withEnding lists the files in a folder whose names have one of the endings.
func withEnding(dir string, endings []string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(e.Name(), ending) }) {
			names = append(names, e.Name())
		}
	}
	return names
}
