package xlstm
