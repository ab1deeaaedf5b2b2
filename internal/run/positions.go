package run

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
	"github.com/pkg/errors"
)

// PositionsFile has the loss by position that was measured last, in the folder of
// a run.
const PositionsFile = "positions.json"

// positionPiece is how many tokens of a sequence are read at once, and most are
// how many of them are read of a text at most.
const (
	positionPiece = 512
	mostPositions = 1 << 20
)

// MeasureByPosition returns the loss of a model by position in sequences of so
// many tokens of a text, spread over it.
func MeasureByPosition(ctx context.Context, m *xlstm.Model, s Settings, tok data.Tokenizer, tokens data.Tokens, batch, length int) ([]xlstm.PositionLoss, error) {
	cfg := xlstm.PositionConfig{Batch: batch, Length: length, Piece: positionPiece}
	cfg.Sequences = min((tokens.Len()-1)/length, max(1, mostPositions/length))
	if cfg.Sequences < 1 {
		return nil, errors.Errorf("sequences of %d tokens are too long for a text of %d, of which all but one can be in a sequence; choose shorter ones, or a longer text", length, tokens.Len())
	}
	if s.Reset {
		bounds, err := BoundariesOf(s, tok)
		if err != nil {
			return nil, err
		}
		cfg.Mark = bounds.Mark
	}
	return m.LossByPosition(ctx, tokens, cfg)
}

// KeepPositions keeps the loss by position for the report of the run in a folder.
func KeepPositions(dir string, by []xlstm.PositionLoss) error {
	text, err := json.Marshal(by)
	if err != nil {
		return errors.Wrap(err, "keeping the loss by position")
	}
	return files.WriteFile(filepath.Join(dir, PositionsFile), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// readPositions returns what KeepPositions kept, nil if there is nothing.
func readPositions(dir string) (by []xlstm.PositionLoss, err error) {
	path := filepath.Join(dir, PositionsFile)
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return nil, nil
	}
	text, err := files.Read(path, files.MaxSettings)
	if err != nil {
		return nil, err
	}
	return by, errors.Wrapf(json.Unmarshal(text, &by), "reading %s", path)
}

// positionsChart shows the loss by position. It has no curve if none was measured.
func (v View) positionsChart() report.Chart {
	curve := report.Curve{Name: "loss", Kind: report.Series(0)}
	for _, p := range v.Positions {
		curve.Steps, curve.Y = append(curve.Steps, p.To), append(curve.Y, p.Nats)
	}
	return report.Chart{Title: "Loss by position in a sequence", Axis: "position", LogX: true, Wide: true, Curves: []report.Curve{curve}}
}
