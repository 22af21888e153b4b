//go:build !linux

package files

import "os"

func extentsOf(_ *os.File, size int64) ([]extent, error) { return []extent{{0, size}}, nil }
