// Package pytorch reads the tensors of a state_dict that torch.save has written
// (PyTorch 1.6 and later: .pt, .pth, .bin): which there are, and where in the file
// their numbers lie, row after row.
//
// Such a file is a zip archive of uncompressed entries: the raw numbers of every
// storage, and data.pkl, a program for Python's pickle machine that puts tensors
// together out of them. In Python that program can call anything. The machine here
// builds None, booleans, numbers, strings, lists, tuples and dictionaries, and of
// all functions knows the few that make a tensor of a storage; a call of any other
// makes an object of which nothing is known but the name. Nothing is executed.
//
// Files are not trusted: what they claim takes no memory that their size does not
// account for.
package pytorch
