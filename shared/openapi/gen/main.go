// Command gen writes the OpenAPI document of every endpoint to the file that
// its argument names.
package main

import (
	"fmt"
	"os"

	"bldst/shared/wire"
)

func main() {
	doc, err := wire.Spec()
	if err == nil {
		err = os.WriteFile(os.Args[1], doc, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}
