package config

import "bldst/shared/table/dynamo"

// Access returns where the table is and who asks for it.
func (c *Config) Access() dynamo.Access {
	return dynamo.Access{Region: c.Region, Endpoint: c.Endpoint("dynamodb"), KeyID: c.AccessKey, Secret: c.SecretKey, SessionToken: c.Session}
}
