package trial

import "fmt"

// maxPrinted is how many faults of a run are printed.
const maxPrinted = 20

// Report prints the faults of a run, and returns an error if there are any.
func Report(faults []string) error {
	for i, fault := range faults {
		if i == maxPrinted {
			fmt.Printf("and %d more\n", len(faults)-i)
			break
		}
		fmt.Println(fault)
	}
	if len(faults) > 0 {
		return fmt.Errorf("%d faults", len(faults))
	}
	return nil
}
