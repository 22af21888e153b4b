// Command function is the Lambda of the differential test: what it does, call
// by call, stands in the environment variable REPLIES. The last reply repeats.
package main

import (
	"encoding/json"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
)

type reply struct {
	Echo    bool            `json:"echo"`
	Return  json.RawMessage `json:"return"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
}

func main() {
	var replies []reply
	if err := json.Unmarshal([]byte(os.Getenv("REPLIES")), &replies); err != nil {
		panic(err)
	}
	lambda.Start(func(payload json.RawMessage) (json.RawMessage, error) {
		r := replies[0]
		if len(replies) > 1 {
			replies = replies[1:]
		}
		switch {
		case r.Error != "":
			return nil, messages.InvokeResponse_Error{Type: r.Error, Message: r.Message}
		case r.Echo:
			return payload, nil
		}
		return r.Return, nil
	})
}
