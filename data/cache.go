package data

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"iter"
	"math"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// Cache holds the tokens of [Files] in a file. If the system supports it, the
// file is mapped into memory, so that only the parts being read take memory;
// otherwise the whole file is read. A Cache must be closed after use, and not
// be read after that.
type Cache struct {
	Path string
	Size Size // of the text

	ids   []byte // little-endian, of footer.Width bytes each
	foot  footer
	unmap func() error
}

// footer ends the file. The ids stand before it, so that it can tell of them.
type footer struct {
	Count                   uint64 // of tokens
	Width                   uint64 // bytes of a token
	Bytes, Chars, Documents uint64
	Key                     [sha256.Size]byte // of the tokenizer and the files
	IDs                     uint32            // checksum of the tokens
	Self                    uint32            // checksum of the footer up to here
	Magic                   [8]byte
}

var cacheMagic = [8]byte{'t', 'o', 'k', 'e', 'n', 's', '0', '2'}

var footerSize = binary.Size(footer{})

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CacheTokens returns the tokens of files from the cache folder dir. If the
// folder has no cache for them, or one that is damaged or was made with another
// tokenizer or from files that have changed, it encodes the files on all
// processors and writes the cache; progress, if not nil, is then called with
// the number of bytes of text encoded so far. A cache is identified by the
// tokenizer and by the paths, sizes and times of the files.
//
// One process at a time writes in dir; others wait until ctx is done. Before
// writing, a process removes the leftovers of killed processes and the caches
// that have not been opened for thirty days.
func CacheTokens(ctx context.Context, dir string, tok Tokenizer, f *Files, progress func(bytes int64)) (*Cache, error) {
	key, err := cacheKey(tok, f)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fmt.Sprintf("tokens-%x.bin", key[:8]))
	if c, err := openCache(path, key, tok.Size()); err == nil {
		return c, nil
	}
	unlock, err := takeCacheFolder(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// The process that was waited for may have written the very same.
	if c, err := openCache(path, key, tok.Size()); err == nil {
		return c, nil
	}
	if err := writeCache(ctx, path, key, tok, f, progress); err != nil {
		return nil, err
	}
	return openCache(path, key, tok.Size())
}

// cacheKey tells a tokenizer and files from others.
func cacheKey(tok Tokenizer, f *Files) (key [sha256.Size]byte, err error) {
	h := sha256.New()
	h.Write(cacheMagic[:])
	if err := SaveTokenizer(h, tok); err != nil {
		return key, err
	}
	for _, s := range f.stamp {
		fmt.Fprintln(h, s)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// openCache maps a file of tokens and checks that all of it is as it was written.
func openCache(path string, key [sha256.Size]byte, vocab int) (*Cache, error) {
	content, unmap, err := mapFile(path)
	if err != nil {
		return nil, errors.Wrap(err, "opening the tokens")
	}
	c := &Cache{Path: path, unmap: unmap}
	if err := c.read(content, key, vocab); err != nil {
		unmap()
		return nil, errors.Wrapf(err, "the tokens in %s", path)
	}
	markUsed(path)
	return c, nil
}

// read takes the file apart.
func (c *Cache) read(content []byte, key [sha256.Size]byte, vocab int) error {
	at := len(content) - footerSize
	if at < 0 {
		return errors.New("the file is cut short")
	}
	if err := binary.Read(bytes.NewReader(content[at:]), binary.LittleEndian, &c.foot); err != nil {
		return err
	}
	c.ids = content[:at]
	switch {
	case c.foot.Magic != cacheMagic || c.foot.Self != c.foot.checksum():
		return errors.New("the file is cut short or is no file of tokens")
	case c.foot.Key != key || c.foot.Width != uint64(idWidth(vocab)):
		return errors.New("the file has the tokens of another text or tokenizer")
	case uint64(at)%c.foot.Width != 0 || c.foot.Count != uint64(at)/c.foot.Width || max(c.foot.Bytes, c.foot.Chars, c.foot.Documents) > math.MaxInt || c.foot.IDs != crc32.Checksum(c.ids, castagnoli):
		return errors.New("the file is damaged")
	}
	c.Size = Size{int(c.foot.Bytes), int(c.foot.Chars), int(c.foot.Documents)}
	return nil
}

// checksum is what Self should be.
func (f footer) checksum() uint32 {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, f); err != nil {
		return 0 // a buffer takes everything, and the size is fixed
	}
	return crc32.Checksum(b.Bytes()[:b.Len()-len(f.Magic)-4], castagnoli)
}

// idWidth returns how many bytes an id takes.
func idWidth(vocab int) int {
	if vocab <= 1<<16 {
		return 2
	}
	return 4
}

// writeCache encodes files.
func writeCache(ctx context.Context, path string, key [sha256.Size]byte, tok Tokenizer, f *Files, progress func(bytes int64)) error {
	return files.WriteFile(path, func(w io.Writer) error {
		ids := &idWriter{w: w, sum: crc32.New(castagnoli), width: idWidth(tok.Size())}
		size, err := Encode(ctx, tok, counted(f.Pieces(tok), progress), ids.write)
		if err != nil {
			return err
		}
		foot := footer{
			Count: uint64(ids.count), Width: uint64(ids.width),
			Bytes: uint64(size.Bytes), Chars: uint64(size.Chars), Documents: uint64(size.Documents),
			Key: key, IDs: ids.sum.Sum32(), Magic: cacheMagic,
		}
		foot.Self = foot.checksum()
		return binary.Write(w, binary.LittleEndian, foot)
	})
}

// counted tells progress of the pieces that are taken.
func counted(pieces iter.Seq2[Piece, error], progress func(bytes int64)) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		done := int64(0)
		for p, err := range pieces {
			if !yield(p, err) {
				return
			}
			if done += int64(len(p.Text)); progress != nil {
				progress(done)
			}
		}
	}
}

// idWriter writes ids of a fixed width.
type idWriter struct {
	w     io.Writer
	sum   hash.Hash32
	width int
	count int
	block []byte
}

func (w *idWriter) write(ids []int) error {
	w.block = w.block[:0]
	for _, id := range ids {
		if w.width == 2 {
			w.block = binary.LittleEndian.AppendUint16(w.block, uint16(id))
		} else {
			w.block = binary.LittleEndian.AppendUint32(w.block, uint32(id))
		}
	}
	w.count += len(ids)
	w.sum.Write(w.block)
	_, err := w.w.Write(w.block)
	return err
}

// Len returns the number of tokens.
func (c *Cache) Len() int { return int(c.foot.Count) }

// Read reads tokens from the file.
func (c *Cache) Read(ids []int, at int) {
	for i := range ids {
		if c.foot.Width == 2 {
			ids[i] = int(binary.LittleEndian.Uint16(c.ids[2*(at+i):]))
		} else {
			ids[i] = int(binary.LittleEndian.Uint32(c.ids[4*(at+i):]))
		}
	}
}

// Checksum returns a checksum of the tokens and of the sources that they were
// made from.
func (c *Cache) Checksum() uint64 {
	return binary.LittleEndian.Uint64(c.foot.Key[:]) ^ uint64(c.foot.IDs)
}

// Close releases the memory.
func (c *Cache) Close() error {
	return errors.Wrap(c.unmap(), "closing the tokens")
}
