module github.com/gorgonia-xlstm/xlstm/internal/weights/_gen

go 1.25.0

require (
	github.com/gorgonia-xlstm/xlstm/internal/_neon v0.0.0
	github.com/mmcloughlin/avo v0.6.0
)

replace github.com/gorgonia-xlstm/xlstm/internal/_neon => ../../_neon

require (
	golang.org/x/mod v0.35.0 // indirect
	golang.org/x/sync v0.20.0 // indirect
	golang.org/x/tools v0.44.0 // indirect
)
