package cpu

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// bindComposite binds the operations that a composite stands for, one after the
// other, with memory of its own for the results in between.
func bindComposite(op ops.Composite, dt ops.Dtype, out, in []device.Buffer) (device.Launch, error) {
	named := make(map[string]device.Buffer)
	for k, arg := range op.Inputs() {
		named[arg.Name] = in[k]
	}
	for k, arg := range op.Outputs() {
		named[arg.Name] = out[k]
	}
	var launches []device.Launch
	for _, s := range op.Stages() {
		var results, reads []device.Buffer
		for k, name := range s.Out {
			if named[name] == nil {
				b, err := Device{}.Alloc(dt, s.Op.Outputs()[k].Shape.Size())
				if err != nil {
					return nil, err
				}
				named[name] = b
			}
			results = append(results, named[name])
		}
		for _, name := range s.In {
			reads = append(reads, named[name])
		}
		launch, err := Device{}.Bind(s.Op, results, reads, nil)
		if err != nil {
			return nil, errors.Wrapf(err, "cpu: a stage of %s", op.Name())
		}
		launches = append(launches, launch)
	}
	return device.Record(Device{}, launches)
}
