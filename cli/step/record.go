package step

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"bldst/cli/step/proc"
	"bldst/cli/step/spool"
)

// A record is what this machine knows of its own work on a build: of which
// attempt all results are here, and which states are being run. It lies beside
// the spool.
type record struct {
	Boot    string             `json:"boot"`     // of the machine: what was not on disk is gone with it
	BuildID string             `json:"build_id"` // "" while the API was never reached
	Attempt int                `json:"attempt"`
	Worker  string             `json:"worker"`
	Running map[string]running `json:"running"` // by run
	Job     string             `json:"job"`     // the last one that was recorded, and its attempt
	Saved   []string           `json:"saved"`   // paths that were saved or restored in this attempt
}

// running is a step that has begun to change things.
type running struct {
	State int    `json:"state"`
	PID   int    `json:"pid"`
	Born  string `json:"born"`
}

// alive reports whether the process of the step is still there.
func (r running) alive() bool { return r.Born != "" && proc.Born(r.PID) == r.Born }

const recordName = "record.json"

// load reads the record of a build. One that cannot be read, or is of an
// earlier run of the machine, is none.
func load(s *spool.Spool) record {
	var r record
	data, err := os.ReadFile(filepath.Join(s.Dir, recordName))
	if err != nil || json.Unmarshal(data, &r) != nil || r.Boot != boot() {
		return record{Boot: boot()}
	}
	return r
}

// change lets f change the record while no other process does.
func change(s *spool.Spool, f func(r *record)) error {
	unlock, err := s.Lock("record")
	if err != nil {
		return err
	}
	defer unlock()
	r := load(s)
	f(&r)
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := filepath.Join(s.Dir, recordName)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// dead returns the runs whose process has ended without a word.
func (r record) dead() map[string]running {
	out := map[string]running{}
	for run, k := range r.Running {
		if !k.alive() {
			out[run] = k
		}
	}
	return out
}

// kept returns the attempt of which everything is still here, 0 for none.
func (r record) kept() int {
	if len(r.dead()) > 0 {
		return 0
	}
	for _, path := range r.Saved {
		if _, err := os.Lstat(path); err != nil {
			return 0
		}
	}
	return r.Attempt
}

// boot names the run of this machine, "" where that is not known.
func boot() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}
