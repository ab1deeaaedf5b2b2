module github.com/gorgonia-xlstm/xlstm/internal/_neon

go 1.25.0
