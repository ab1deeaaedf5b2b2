//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// These are the structs of sequence_halves.cuh, but for Share, which is seqShare.
type (
	halvesStage struct {
		cell, n, input, words, gate int32
		groups, warps               int32
		centered, residual, pairs   int32
		eps                         float32
		late                        int32
		weight                      address
		share                       float32
		_                           int32
	}
	halvesRow struct {
		bias, to address // to is the bias of the other row of a pair
		word     int32
		cap      float32
		_        int64
	}
	halvesCell struct {
		q, k, v, i, f, h    int32
		heads, dqk, dhv     int32
		scaleQ, scaleK, eps float32
		c, keys, m          address
		toC, toKeys, toM    address
		begin               float32
		_                   [3]int32
	}
	halvesArgs struct {
		stages, cells, shares, rows, at, lengths address
		weights, words, tickets, table, ids      address
		stageCount, cellCount, productCount      int64
		rowCount, slotCount, wordCount           int64
		pitch, halves, width                     int64
	}
)

// Where the input of a stage comes from.
const (
	halvesSame = iota
	halvesEmbedded
	halvesAdded
	halvesNormed
	halvesPlain
)

// Numbers of sequence_halves.cuh.
const (
	halvesWarps    = 8
	halvesDepth    = 11 // slots
	halvesRows     = 8  // of a slot
	halvesWide     = 1024
	halvesSlot     = halvesRows * (2*halvesWide + 64)
	halvesMost     = 48
	halvesParts    = 3
	halvesKeys     = 256
	halvesOfWarp   = 128
	halvesBarriers = (8*(2*halvesDepth+1) + 127) / 128 * 128
	halvesSums     = 4 * halvesMost * (2*halvesWarps + 4)
	halvesRoom     = 4 * (2*halvesKeys + seqColumns + halvesWarps*seqColumns + halvesWarps)
	halvesNorms    = 8 * 2 * halvesWarps
	halvesAhead    = 2*halvesMost*32 + 4*2*halvesMost + 16*32*halvesWarps
	halvesEmpty    = 0xffffffff // EMPTY
	halvesHurry    = 0x80000000 // HURRY
)

// halves is a sequence as stages of sequence_halves.cuh.
type halves struct {
	stages   []halvesStage
	cells    []halvesCell
	products []halvesProduct
	indices  map[address]int32 // of words
	words    int32
	embed    seqInstruction
	residual int32 // the vector that is the residual stream, −1 for none
	input    int32 // the vector that is the input of products
	next     halvesStage
	fits     bool
	blocks   []halvesBlock
	weights  address // from which on rows are counted
}

// halves returns a sequence as stages of the kernel for weights in bfloat16, or nil if it
// is none of a model whose blocks are such stages.
func (s *sequence) halves() *halves {
	h := &halves{indices: make(map[address]int32), residual: -1, input: -1, fits: !s.failed}
	for _, in := range s.list {
		if h.fits {
			h.add(s, in)
		}
	}
	if !h.fits || len(h.products) == 0 || h.embed.in == 0 {
		return nil
	}
	h.deal(s, int(s.d.processors))
	if !h.fits || h.shared() > int(s.d.sharedMax) {
		return nil
	}
	return h
}

// pitch returns the bytes between the parts of an input, an odd number of 64 bytes so
// that they are read without conflicts.
func (h *halves) pitch() int {
	n := int32(0)
	for _, s := range h.stages {
		n = max(n, (s.n+halvesWide-1)/halvesWide*halvesWide)
	}
	return (int(n)*2+63)/64/2*128 + 64
}

// shared returns the bytes of a block's shared memory.
func (h *halves) shared() int {
	return halvesDepth*halvesSlot + halvesBarriers + halvesParts*h.pitch() + halvesSums + halvesRoom + halvesNorms + halvesAhead +
		len(bytesOf(h.stages)) + len(bytesOf(h.cells)) + 8*len(h.products)
}

// image returns the memory of the stages at an address: the tickets, both sets of words,
// all of them empty, and the lists.
func (h *halves) image(base address) ([]byte, halvesArgs) {
	flat, to := h.flat(), lists{base, make([]byte, 256)}
	args := halvesArgs{
		words: to.put(slices.Repeat([]byte{0xff}, 2*4*int(h.words))), tickets: base,
		stages: to.put(bytesOf(h.stages)), cells: to.put(bytesOf(h.cells)),
		shares: to.put(bytesOf(flat.shares)), rows: to.put(bytesOf(flat.rows)), at: to.put(bytesOf(flat.at)), lengths: to.put(bytesOf(flat.lengths)),
		weights: h.weights, table: h.embed.in, ids: h.embed.ids,
		stageCount: int64(len(h.stages)), cellCount: int64(len(h.cells)), productCount: int64(len(h.products)),
		rowCount: int64(len(flat.rows) / len(h.blocks)), slotCount: int64(len(flat.lengths) / len(h.blocks)), wordCount: int64(h.words),
		pitch: int64(h.pitch()), halves: int64(flag(h.embed.format == seqHalves)), width: int64(h.embed.n),
	}
	return to.data, args
}

// sequenceHalves binds the stages as one launch, and returns what frees its memory, also
// if there is an error.
func (d *Device) sequenceHalves(h *halves) (device.Launch, func() error, error) {
	data, _ := h.image(0)
	memory, err := d.Alloc(ops.Byte, len(data))
	if err != nil {
		return nil, nil, err
	}
	release := func() error { return d.Free(memory) }
	data, args := h.image(memory.(buffer).at)
	if err := d.Upload(memory, data); err != nil {
		return nil, release, err
	}
	launch, err := d.launchSequence("sequence_halves.f32", 32*halvesWarps, h.shared(), byValue(args))
	return launch, release, err
}
