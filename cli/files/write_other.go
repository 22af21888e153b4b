//go:build !linux

package files

import "os"

func startWriting(*os.File, int64, int64) {}
