package main

import (
	"fmt"
	"os/exec"
	"time"
)

// steps measures what a step adds to its command, reports included, and how
// long it takes to skip one that is done.
func steps(bldst, dir string) error {
	if text, err := exec.Command("go", "build", "-trimpath", "-o", bldst, "./cli").CombinedOutput(); err != nil {
		return fmt.Errorf("build ./cli: %w\n%s", err, text)
	}
	env, stop, err := system(bldst, dir)
	if err != nil {
		return err
	}
	defer stop()
	env = append(env, "BLDST_PLATFORM=aws-commercial", "BLDST_OS_VERSION=rhel-9.3", "BLDST_IMAGE_TYPE=base", "CI=true")
	var bare, done, skipped []time.Duration
	for i := range runs {
		numbered := append(env, fmt.Sprintf("BLDST_BUILD_NUMBER=bench-%d", i))
		step := []string{"step", "10", "-q", "--", "true"}
		for _, m := range []struct {
			to   *[]time.Duration
			name string
			args []string
		}{{&bare, "true", nil}, {&done, bldst, step}, {&skipped, bldst, step}} {
			d, err := run(m.name, numbered, m.args...)
			if err != nil {
				return err
			}
			*m.to = append(*m.to, d)
		}
	}
	fmt.Println("| what | reach | measured |\n|---|---|---|")
	fmt.Printf("| bldst step that skips, local system | ≤ 15 ms | %s |\n", short(median(skipped)))
	fmt.Printf("| bldst step -- true, more than true takes, two reports included | ≤ 40 ms | %s |\n", short(median(done)-median(bare)))
	return nil
}
