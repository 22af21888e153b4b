//go:build !unix

package files

import "os"

func lock(*os.File) error { return nil }
