package data

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// staleAfter is how long a cache is kept that nothing opens.
const staleAfter = 30 * 24 * time.Hour

var cacheName = regexp.MustCompile(`^tokens-[0-9a-f]{16}\.bin$`)

// takeCacheFolder makes the folder of caches, waits until no other process writes
// in it, and removes what is of no use any more: what processes that were killed
// have left, and caches that nothing has opened for thirty days.
func takeCacheFolder(ctx context.Context, dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, errors.Wrap(err, "making a folder for tokens")
	}
	unlock, err = files.AwaitLock(ctx, filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, errors.Wrap(err, "taking the folder for tokens")
	}
	if err = files.CleanTemp(dir); err == nil {
		err = removeStale(dir, time.Now().Add(-staleAfter))
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// removeStale removes the caches in a folder that nothing has opened since then.
func removeStale(dir string, then time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return errors.Wrap(err, "looking for stale tokens")
	}
	for _, e := range entries {
		if !cacheName.MatchString(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil || info.ModTime().After(then) {
			continue // it is in use, or has just gone
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !os.IsNotExist(err) {
			return errors.Wrap(err, "removing stale tokens")
		}
	}
	return nil
}

// markUsed notes that a cache was opened. Where that cannot be noted, the cache may
// go early and is made again.
func markUsed(path string) {
	now := time.Now()
	_ = os.Chtimes(path, now, now)
}
