//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"os"
	"path/filepath"
)

// driverDirs lists the folders in which NVIDIA's driver puts its libraries on systems
// whose loader does not search them.
func driverDirs() []string {
	return []string{"/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib"}
}

// toolkitDirs lists the folders in which CUDA's libraries may be: those named by
// environment variables, the toolkit's, and those of the Python packages nvidia-*, in
// the layout shared by all parts and in that of the given part.
func toolkitDirs(part string) []string {
	patterns := filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))
	for _, variable := range []string{"CUDA_PATH", "CUDA_HOME"} {
		if dir := os.Getenv(variable); dir != "" {
			patterns = append(patterns, dir+"/lib64", dir+"/lib")
		}
	}
	patterns = append(patterns, "/usr/local/cuda/lib64", "/usr/local/cuda-1*/lib64", "/opt/cuda/lib64",
		"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
	roots := []string{os.Getenv("VIRTUAL_ENV"), os.Getenv("CONDA_PREFIX"), ".venv", "/usr", "/usr/local", "/opt/*", "/opt/*/.venv"}
	if home, err := os.UserHomeDir(); err == nil {
		roots = append(roots, home+"/.local")
	}
	for _, root := range roots {
		if root == "" {
			continue
		}
		for _, site := range []string{"/lib/python3*/site-packages", "/lib/python3*/dist-packages"} {
			patterns = append(patterns, root+site+"/nvidia/cu1*/lib", root+site+"/nvidia/"+part+"/lib")
		}
	}
	return globAll(patterns)
}

// globAll returns the folders that match the patterns, in the order of the patterns.
func globAll(patterns []string) (dirs []string) {
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // a malformed folder in LD_LIBRARY_PATH matches nothing
		}
		dirs = append(dirs, found...)
	}
	return dirs
}
