package run

import (
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// Lock prevents other processes from training in the same folder, which must
// exist. The lock ends with the process, for whatever reason the process ends.
func Lock(dir string) (unlock func(), err error) {
	unlock, err = files.Lock(filepath.Join(dir, lockFile))
	if errors.Is(err, files.ErrLocked) {
		return nil, errors.Errorf("another process is training in %s; wait for it, or stop it", dir)
	}
	return unlock, errors.Wrap(err, "taking the run's folder")
}
