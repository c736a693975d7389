package main

import (
	"fmt"
	"os"

	"github.com/m365backup/backupstorage/internal/audit"
)

// auditCommand has the commands that read audit files.
type auditCommand struct {
	Verify auditVerify `cmd:"" help:"Print which lines are missing in audit files, and which writes have no outcome. Exit code 2 when lines are missing."`
}

// auditVerify looks for gaps.
type auditVerify struct {
	Files []string `arg:"" help:"audit files, in any order"`
}

// Run implements the command.
func (v *auditVerify) Run(to streams) error {
	var inputs []audit.Input
	for _, name := range v.Files {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		inputs = append(inputs, audit.Input{Name: name, Reader: file})
	}
	text, whole, err := audit.Verify(inputs...)
	if err != nil {
		return err
	}
	fmt.Fprintf(to.out, "%s", text)
	if !whole {
		return errTold
	}
	return nil
}
