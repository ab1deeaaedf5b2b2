package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
)

// FuzzCache: a file of tokens that is not what was written is refused; what is
// taken can be read.
func FuzzCache(f *testing.F) {
	dir := f.TempDir()
	text := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte("some text"), 0o600); err != nil {
		f.Fatal(err)
	}
	found, err := Find(text)
	if err != nil {
		f.Fatal(err)
	}
	c, err := CacheTokens(f.Context(), dir, Bytes{}, found, nil)
	if err != nil {
		f.Fatal(err)
	}
	key := c.foot.Key
	raw, err := os.ReadFile(c.Path)
	if err != nil {
		f.Fatal(err)
	}
	if err := c.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(raw, true)
	f.Add(raw[1:], true)
	f.Add(raw, false)
	overflow := bytes.Clone(raw)
	overflow[len(raw)-footerSize+7] = 0x80 // a count whose product with the width is right
	f.Add(overflow, true)
	f.Fuzz(func(t *testing.T, raw []byte, sealed bool) {
		c := new(Cache)
		if sealed && len(raw) >= footerSize {
			raw = seal(t, raw, key)
		}
		if c.read(raw, key, Bytes{}.Size()) != nil {
			return
		}
		c.Read(make([]int, c.Len()), 0)
		if c.Size.Bytes < 0 || c.Size.Chars < 0 || c.Size.Documents < 0 {
			t.Errorf("the text has the size %+v", c.Size)
		}
	})
}

// seal returns a file with the checksums that it should have, as one who means
// harm would make it.
func seal(t *testing.T, raw []byte, key [sha256.Size]byte) []byte {
	t.Helper()
	ids, foot := raw[:len(raw)-footerSize], footer{}
	if err := binary.Read(bytes.NewReader(raw[len(ids):]), binary.LittleEndian, &foot); err != nil {
		t.Fatal(err)
	}
	foot.Key, foot.Magic, foot.Width, foot.IDs = key, cacheMagic, 2, crc32.Checksum(ids, castagnoli)
	foot.Self = foot.checksum()
	sealed := bytes.NewBuffer(bytes.Clone(ids))
	if err := binary.Write(sealed, binary.LittleEndian, foot); err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes()
}
