// Package pytorch reads the names, types, shapes and file positions of the
// tensors in a state_dict written by torch.save (PyTorch 1.6 and later: .pt,
// .pth, .bin).
//
// Such a file is a zip archive of uncompressed entries: the raw numbers of
// every storage, and data.pkl, a program for Python's pickle machine that
// assembles tensors from them. In Python that program can call any function.
// The machine in this package builds None, booleans, numbers, strings, lists,
// tuples and dictionaries, and implements only the few functions that make a
// tensor from a storage; a call of any other function gives an object with a
// name and no contents. No code is executed.
//
// Files are not trusted: sizes given in a file cannot cause allocations larger
// than the size of the file justifies.
package pytorch
